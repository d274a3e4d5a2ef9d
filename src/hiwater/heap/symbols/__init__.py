"""From addresses to names: functions, files and lines, of whatever tells them on this machine."""
