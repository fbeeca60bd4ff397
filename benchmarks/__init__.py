"""How fast the parts of Consortia are, each against the limit of the machine that it runs on."""
