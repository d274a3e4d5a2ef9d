"""Pure functions: Recording -> figures. Nothing here opens a file or asks the machine it runs on."""
