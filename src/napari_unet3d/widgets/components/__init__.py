"""What every dock is made of: base class, messages, run bar, tables, dialogs and keys."""
