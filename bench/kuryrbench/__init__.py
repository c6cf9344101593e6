"""Measures Kuryr in the lab: each module one kind of figure, `document` what is made of them."""
