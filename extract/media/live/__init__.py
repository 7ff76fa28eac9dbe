"""Pictures and sound as they arrive: from a camera and a microphone, or from a file that is played like a stream."""
