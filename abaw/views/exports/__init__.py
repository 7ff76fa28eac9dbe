"""Files for other people's tools: ELAN annotations, subtitles, Rerun recordings. Each writer takes a timeline."""
