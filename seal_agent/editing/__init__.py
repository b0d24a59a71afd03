"""The editing room: the model writes itself study notes; each is proved against its source before it counts."""
