"""Sources of items: the toy world, a publisher's file, or the hub. One module for each vertical's benchmark."""
