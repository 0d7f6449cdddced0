"""The reference platform: a small, real Neo N3 MiniApp Platform that can be started, used, attacked and thrown away.

Import from the modules: `platform` starts it, `chain` speaks to a node, `traffic` and `attack` use and abuse it,
`admin` does what its admin would. Nothing is imported here, so that `python -m miniapp_platform.reaper` starts at once.
"""
