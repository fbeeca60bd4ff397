"""What node, coordinator and client share: the documents that people sign (pure) and the shell around them."""
