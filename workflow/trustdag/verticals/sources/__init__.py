"""Where items come from: the toy world, a publisher's file, or the hub. One module a vertical's benchmark."""
