"""The web page of ``abaw app``: upload or record, analyse, look, download. Numbers come from ``analyze`` alone.

``settings``: what users may choose, and limits; ``sessions``: a folder for each browser tab; ``workers``: the processes
that analyse; ``running``: one analysis from upload to result; ``layout``: the page by Gradio; ``gate``: which requests
are answered; ``serving``: the server. Gradio is imported when a server is started.
"""
