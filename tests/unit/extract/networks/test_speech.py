"""Long sound in passes of a speech recogniser: each word once, from the pass with more context."""

from functools import partial

import numpy as np

from extract.networks.speech import SpeechRecogniser, Word


def test_a_word_at_a_cut_comes_once_and_from_the_pass_with_more_context():
    recogniser = SpeechRecogniser.__new__(SpeechRecogniser)
    recogniser.rate_hz, recogniser._chunk, recogniser._margin = (
        100,
        1000,
        200,
    )  # passes of ten seconds, cuts at 8 s, 14 s, 20 s
    truth = [Word(str(second), second + 0.6, second + 1.4) for second in range(26)]  # one has its middle at each cut

    def one_pass(samples, at_s, shift_s):
        stop_s, words = at_s + len(samples) / 100, []
        for word in truth:
            if word.start_s >= at_s and word.stop_s <= stop_s:
                is_whole = (at_s == 0 or word.start_s > at_s + 1) and (stop_s == 28 or word.stop_s < stop_s - 1)
                moved = shift_s if round(at_s) % 12 else 0.0
                text = word.text if is_whole else "wrong for lack of context"
                words.append(Word(text, word.start_s + moved, word.stop_s + moved))
        return words

    for shift_s in (-0.1, 0.0, 0.1):  # the passes differ in the time of a word
        recogniser._pass = partial(one_pass, shift_s=shift_s)
        assert [word.text for word in recogniser.transcribe(np.zeros(2800, np.float32))] == [
            word.text for word in truth
        ]
