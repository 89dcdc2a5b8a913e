"""The result store: masked rows on disk, read in pages, sorted, filtered and exported there."""
