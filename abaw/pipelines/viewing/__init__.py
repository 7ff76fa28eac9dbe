"""What ``analyze`` writes of a clip to look at: pages, videos, pictures, and files for other people's tools."""
