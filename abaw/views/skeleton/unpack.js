"use strict";
/** The bytes in the element of this id, which as_packed in abaw/views/html.py wrote. */
async function unpack(id) {
  const text = document.getElementById(id).textContent;
  const raw = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Run the packed script in the element of this id. */
async function runPacked(id) {
  const script = document.createElement("script");
  script.textContent = new TextDecoder().decode(await unpack(id));
  document.head.append(script);
}

/** The JSON in the element of this id. */
function readJson(id) {
  return JSON.parse(document.getElementById(id).textContent);
}
