"""The table of what a person can do: menus, keys, tooltips and the command palette read it."""

from typing import NamedTuple


class Action(NamedTuple):
    """One user action. `keys`: Qt key sequences, Ctrl is Cmd on macOS; the first is shown."""

    name: str  # also the name of the method of App that does it, dots as underscores
    text: str
    keys: tuple[str, ...]
    menu: str
    icon: str = ""
    help: str = ""
    checkable: bool = False
    begins_group: bool = False  # a line stands before it in the menu


MENUS = ("File", "Edit", "Clip", "Timeline", "Effects", "View", "Help")

ACTIONS: tuple[Action, ...] = (
    Action("file.new", "New project", ("Ctrl+N",), "File", help="Starts an empty project."),
    Action("file.open", "Open project…", ("Ctrl+O",), "File", "folder"),
    Action("file.open_sample", "Open sample", (), "File"),
    Action("file.save", "Save", ("Ctrl+S",), "File", begins_group=True),
    Action("file.save_as", "Save as…", ("Ctrl+Shift+S",), "File"),
    Action(
        "file.import",
        "Import media…",
        ("Ctrl+I",),
        "File",
        "plus",
        "Adds files to Media.",
        begins_group=True,
    ),
    Action(
        "file.export",
        "Export",
        ("Ctrl+E",),
        "File",
        "export",
        "Repeats the last export preset.",
        begins_group=True,
    ),
    Action(
        "file.export_sheet", "Export…", ("Ctrl+Shift+E",), "File", help="Chooses how to export."
    ),
    Action("file.quit", "Quit", ("Ctrl+Q",), "File", begins_group=True),
    Action("edit.undo", "Undo", ("Ctrl+Z",), "Edit", "undo"),
    Action("edit.redo", "Redo", ("Ctrl+Shift+Z", "Ctrl+Y"), "Edit", "redo"),
    Action(
        "edit.lift",
        "Lift",
        ("Del", "Backspace"),
        "Edit",
        "trash",
        "Leaves a gap.",
        begins_group=True,
    ),
    Action("edit.ripple_delete", "Ripple delete", ("Shift+Del",), "Edit", help="Closes the gap."),
    Action(
        "edit.extract",
        "Extract in to out",
        ("Ctrl+Shift+X",),
        "Edit",
        help="Takes the range out of all tracks and closes the gap.",
    ),
    Action("edit.duplicate", "Duplicate", ("Ctrl+D",), "Edit"),
    Action("edit.select_all", "Select all", ("Ctrl+A",), "Edit", begins_group=True),
    Action("edit.select_none", "Select nothing", ("Ctrl+Shift+A",), "Edit"),
    Action(
        "edit.preferences",
        "Preferences…",
        ("Ctrl+,",),
        "Edit",
        "settings",
        "Folders of weights, theme, keys, cache and device.",
        begins_group=True,
    ),
    Action("clip.split", "Split at playhead", ("S",), "Clip", "razor"),
    Action("clip.split_all", "Split all tracks", ("Shift+S",), "Clip"),
    Action("clip.insert", "Insert from Media", (",",), "Clip", "insert", begins_group=True),
    Action("clip.overwrite", "Overwrite from Media", (".",), "Clip", "overwrite"),
    Action("clip.append", "Append from Media", ("Shift+E",), "Clip"),
    Action("clip.trim_head", "Ripple trim head to playhead", ("Q",), "Clip", begins_group=True),
    Action("clip.trim_tail", "Ripple trim tail to playhead", ("W",), "Clip"),
    Action("clip.nudge_left", "Nudge left", ("Alt+Left",), "Clip"),
    Action("clip.nudge_right", "Nudge right", ("Alt+Right",), "Clip"),
    Action("clip.link", "Link or unlink", ("Ctrl+U",), "Clip", "link", begins_group=True),
    Action("clip.dissolve", "Cross-dissolve at the cut", ("Ctrl+T",), "Clip"),
    Action("clip.enable", "Enable or disable", ("Shift+D",), "Clip", "eye"),
    Action("timeline.play", "Play or stop", ("Space", "K"), "Timeline", "play"),
    Action("timeline.shuttle_back", "Shuttle back", ("J",), "Timeline"),
    Action("timeline.shuttle_forward", "Shuttle forward", ("L",), "Timeline"),
    Action(
        "timeline.step_back",
        "One frame back",
        ("Left",),
        "Timeline",
        "step_back",
        begins_group=True,
    ),
    Action("timeline.step_forward", "One frame on", ("Right",), "Timeline", "step_forward"),
    Action("timeline.step_back_ten", "Ten frames back", ("Shift+Left",), "Timeline"),
    Action("timeline.step_forward_ten", "Ten frames on", ("Shift+Right",), "Timeline"),
    Action("timeline.previous_cut", "Previous cut", ("Up",), "Timeline"),
    Action("timeline.next_cut", "Next cut", ("Down",), "Timeline"),
    Action(
        "timeline.to_start", "Go to start", ("Home",), "Timeline", "to_start", begins_group=True
    ),
    Action("timeline.to_end", "Go to end", ("End",), "Timeline", "to_end"),
    Action("timeline.mark_in", "Mark in", ("I",), "Timeline", "mark_in", begins_group=True),
    Action("timeline.mark_out", "Mark out", ("O",), "Timeline", "mark_out"),
    Action("timeline.go_to_in", "Go to in", ("Shift+I",), "Timeline"),
    Action("timeline.go_to_out", "Go to out", ("Shift+O",), "Timeline"),
    Action("timeline.clear_range", "Clear in and out", ("Alt+X",), "Timeline"),
    Action(
        "timeline.loop",
        "Loop",
        ("Ctrl+L",),
        "Timeline",
        "loop",
        "Plays in to out for ever.",
        True,
        begins_group=True,
    ),
    Action(
        "timeline.ping_pong",
        "Ping-pong",
        ("Ctrl+Shift+L",),
        "Timeline",
        "ping_pong",
        "Plays forward, then back, without showing the end frames twice.",
        True,
    ),
    Action("timeline.add_video_track", "Add picture track", (), "Timeline", begins_group=True),
    Action("timeline.add_audio_track", "Add sound track", (), "Timeline"),
    Action("effects.render", "Render", ("Ctrl+R",), "Effects", "play", "Renders stale effects."),
    Action("effects.render_all", "Render all", ("Ctrl+Shift+R",), "Effects"),
    Action(
        "effects.release",
        "Free the memory of models",
        (),
        "Effects",
        help="Models stay loaded for the next job; this gives their memory to other programs.",
        begins_group=True,
    ),
    Action("view.tool_select", "Select tool", ("V",), "View", "select"),
    Action("view.tool_razor", "Razor tool", ("C",), "View", "razor"),
    Action("view.tool_ripple", "Ripple tool", ("B",), "View", "ripple"),
    Action("view.snapping", "Snapping", ("G",), "View", "magnet", "", True, begins_group=True),
    Action("view.zoom_in", "Zoom in", ("+", "="), "View", "plus", begins_group=True),
    Action("view.zoom_out", "Zoom out", ("-",), "View", "minus"),
    Action("view.zoom_fit", "Fit the sequence", ("Shift+Z",), "View"),
    Action("view.larger", "Larger view", ("F",), "View", "full", "", True, begins_group=True),
    Action(
        "view.compare",
        "Compare before and after",
        ("D",),
        "View",
        "compare",
        "Shows the picture with and without its effects.",
        True,
    ),
    Action(
        "view.generate",
        "Generate",
        ("Ctrl+Shift+G",),
        "View",
        "generate",
        "Makes clips and pictures from words and pictures.",
        begins_group=True,
    ),
    Action("view.queue", "Queue", ("Ctrl+Shift+Q",), "View", "queue"),
    Action("view.palette", "Find any command", ("Ctrl+K",), "View", "search"),
    Action("view.next_panel", "Next panel", ("F6",), "View", begins_group=True),
    Action("view.previous_panel", "Previous panel", ("Shift+F6",), "View"),
    Action("view.notice", "Go to the notice", ("F8",), "View"),
    Action("view.dark", "Dark theme", (), "View", "", "", True, begins_group=True),
    Action("view.light", "Light theme", (), "View", "sun", "", True),
    Action("help.shortcuts", "Keyboard shortcuts", ("F1",), "Help"),
    Action("help.logs", "Show the log folder", (), "Help", "folder"),
    Action("help.about", "About Reelwright", (), "Help", "info", begins_group=True),
)
