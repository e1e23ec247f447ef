"""Keys and usage: who may call, and what each call used."""
