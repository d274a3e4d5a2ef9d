"""The recording of one execution: its model, and the reader of its file. Import the modules; this one loads nothing."""
