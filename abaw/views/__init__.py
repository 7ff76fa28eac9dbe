"""What people look at: the timeline of a clip, and what is drawn or written of it. No media file is opened here."""
