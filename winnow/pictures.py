"""Pictures drawn without a screen."""

import io


def pyplot():
    """Matplotlib's, imported only where a picture is drawn."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    return pyplot


def png(figure) -> bytes:
    """The figure, which is closed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    pyplot().close(figure)
    return buffer.getvalue()
