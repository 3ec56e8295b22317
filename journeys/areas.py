"""Which part of a project to suggest to someone who has not worked there yet?"""

SUGGESTED = ("docs", "tests", "src")  # in the order in which maintainers like to hand them out
CODE = ("src", "flask", "orion-ui", "ui", "ui-v2", "client", "flows")


def untried(*tried: str) -> str:
    """Name the first suggested area that is not among those tried, or '' if nothing is left to suggest."""
    done = ["src" if area in CODE else area for area in tried]
    return next((area for area in SUGGESTED if area not in done), "")
