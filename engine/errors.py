"""What goes wrong when a Temporal server is found, built or started."""


class EngineError(RuntimeError):
    """The development server cannot run; the message is one sentence that says what to do."""


class SupplyError(EngineError):
    """No server could be found or built; the message says what was tried and what to install."""
