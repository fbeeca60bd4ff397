"""What tests share: a small consortium on this machine, built as bank IT would build one."""
