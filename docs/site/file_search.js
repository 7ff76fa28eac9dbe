// A page that is opened as a file may start no worker: its search runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(url) {
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inner = this.frame.contentWindow;
      inner.postMessage = (data) => setTimeout(() => this.onmessage && this.onmessage({ data: structuredClone(data) }));
      const script = inner.document.createElement("script");
      script.src = url;
      script.onload = () => {
        this.loaded = true;
        this.waiting.forEach((data) => inner.onmessage({ data: structuredClone(data) }));
      };
      inner.document.head.append(script);
    }

    postMessage(data) {
      if (this.loaded) this.frame.contentWindow.onmessage({ data: structuredClone(data) });
      else this.waiting.push(data);
    }

    terminate() {
      this.frame.remove();
    }
  };
}
