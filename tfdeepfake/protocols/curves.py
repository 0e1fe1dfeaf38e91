"""AUC over the severity of each perturbation, a panel each (arXiv:2403.10261, Fig. 7)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from tfdeepfake.evaluation.compare_plot import COLOURS, DASHES
from tfdeepfake.protocols.figures import Figure
from tfdeepfake.report.figure import GREY, STYLE, save

COLUMNS = 4


def severity_curves(
    path: Path,
    figures: Mapping[tuple[str, str], Figure],
    models: Sequence[str],
    perturbations: Sequence[str],
    severities: Sequence[int],
    clean: str,
) -> Path:
    """Writes a PNG; severity 0 is the videos as they are, bars are 95 % intervals, what has no figure is left out.

    A figure of too few videos for an interval is a hollow ring that the line does not go through.

    Args:
      path: PNG file.
      figures: {(model, "PERTURBATION SEVERITY" or `clean`): figure}.
      models, perturbations, severities: which; clean: the name of the videos as they are.
    """
    columns = min(COLUMNS, len(perturbations))
    lines = -(-len(perturbations) // columns)
    with rc_context(STYLE):
        size = (max(2.5 * columns, 5.0), 2.3 * lines + 0.9 + 0.25 * len(models))
        canvas = Canvas(figsize=size, layout="constrained")
        canvas.suptitle("AUC by severity of the perturbation, on this data", fontsize=11, x=0.02, ha="left")
        panels = canvas.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for panel in panels[len(perturbations) :]:
            panel.remove()
        rings = []
        for number, (panel, name) in enumerate(zip(panels, perturbations, strict=False)):
            panel.axhline(0.5, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
            for index, model in enumerate(models):
                steps = [(0, clean), *((severity, f"{name} {severity}") for severity in severities)]
                known = [(x, figures[model, on]) for x, on in steps if figures[model, on].value is not None]
                colour = COLOURS[index % len(COLOURS)]
                offset = 0.09 * (index - (len(models) - 1) / 2)  # so that bars do not cover each other
                label = model.replace("$", r"\$")
                look = {"color": colour, "linestyle": DASHES[index % len(DASHES)], "label": label}
                sure = [(x + offset, figure) for x, figure in known if figure.interval]
                panel.plot([x for x, _ in sure], [f.value for _, f in sure], marker="o", markersize=3, **look)
                for x, figure in sure:
                    panel.vlines(x, *figure.interval, color=colour, linewidth=0.9, alpha=0.6)
                few = [(x + offset, figure) for x, figure in known if not figure.interval]
                if few:
                    at = [x for x, _ in few], [f.value for _, f in few]
                    rings = panel.plot(*at, "o", markerfacecolor="none", color=colour, markersize=5)
            panel.set_title(name.replace("_", " "), fontsize=9, loc="left")
            panel.set(ylim=(-0.02, 1.02), xlim=(-0.4, 5.4), xticks=range(6))
            if number % columns == 0:
                panel.set_ylabel("AUC, video level")
            if number + columns >= len(perturbations):
                panel.set_xlabel("severity (0: unperturbed)")
                panel.tick_params(labelbottom=True)
        handles, labels = panels[0].get_legend_handles_labels()
        handles, labels = handles + rings, labels + ["too few videos scored for an interval"] * len(rings)
        canvas.legend(handles, labels, loc="outside lower left", ncols=min(len(handles), 3), fontsize=8, frameon=False)
        return save(canvas, path)
