"""Values that every room shares. Pure: nothing here does I/O or knows anything but the standard library."""
