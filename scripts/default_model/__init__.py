"""Training of the default reader, stage by stage; run by scripts/build_default_model.py."""
