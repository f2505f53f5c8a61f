"""What every dock is made of: forms, boxes, tables, messages, keys and what is remembered."""
