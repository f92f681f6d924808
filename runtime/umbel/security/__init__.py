"""Signed messages: keys, certificates, and `setup_security`, which makes an app use them."""
