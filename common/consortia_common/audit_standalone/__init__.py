"""The verifier that goes out with every exported log. It is read and run on its own, so nothing imports it here."""
