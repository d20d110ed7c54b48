"""Line-API widgets that know no cluster: they paint what a model tells them, and only that."""
