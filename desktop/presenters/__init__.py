"""What joins the widgets to the editor: values go in by setters, wishes come out by signals."""
