"""The protocols by name: facts alone, so that the command line lists them without loading anything."""

from dataclasses import dataclass

# What scores prepared data takes, and what trains presets on them.
PREPARED = ("data_dir", "split", "allow")
TRAINING = (*PREPARED, "presets", "set", "jobs")


@dataclass(frozen=True)
class Protocol:
    """A kind of table.

    Args:
      function: "module:function" of this package; function(models, data, run_dir, Options) -> Work, see `work`. Where
        it trains: function(rows, data) -> Table, see `training_plan`.
      about: what stands in it, and the paper's table, in a few words.
      options: names of the `work.Options` that it heeds; others are refused.
      several_data: whether it takes more than one data set.
    """

    function: str
    about: str
    options: tuple[str, ...] = PREPARED
    several_data: bool = False

    @property
    def trains(self) -> bool:
        """Whether it trains presets; else it scores models that are given."""
        return "jobs" in self.options


PROTOCOLS = {
    "cross_data": Protocol("prepared:cross_data", "every model on each data set (P4 Table 3)", several_data=True),
    "manipulations": Protocol(
        "prepared:manipulations", "each method with the real videos, and all (P3 Tables 2 and 4)"
    ),
    "recognition": Protocol(
        "recognition:recognition", "networks of K classes: precision, recall, F1 of each, confusion (P4 Fig. 8)"
    ),
    "pseudo_videos": Protocol(
        "pseudo_videos:pseudo_videos", "images by GANs and diffusion models, 200 as a video (P4 Table 5)"
    ),
    "crops": Protocol("crops:crops", "the same videos with several margins and frame counts (P1)", several_data=True),
    "cost": Protocol("cost:cost", "parameters, FLOPs and latency against AUC (P4 Table 6)", several_data=True),
    "reproduce": Protocol(
        "reproduce:reproduce", "published detectors by name: the printed AUC beside the one measured", several_data=True
    ),
    "robustness": Protocol(
        "robustness:robustness",
        "seven perturbations at five severities (P4 Table 4, Fig. 7)",
        ("perturbations", "severities", "keep_copies"),
    ),
    "networks": Protocol("networks:networks", "networks trained alike (P2 Table 7)", TRAINING),
    "all": Protocol("manipulation_runs:all_methods", "trained on all methods (P3 Tables 2 and 3)", TRAINING),
    "single": Protocol("manipulation_runs:single", "trained on each method alone (P3 Table 4)", TRAINING),
    "cross_manipulation": Protocol(
        "manipulation_runs:cross_manipulation", "trained on all methods but one, tested on that (P3 Table 5)", TRAINING
    ),
    "ablations": Protocol("ablations:ablations", "one setting changed in each row (P4 Tables 7 to 11)", TRAINING),
    "ensemble": Protocol(
        "votes:votes", "members and their votes from saved scores (P0 Table I)", (*PREPARED, "groups", "votes")
    ),
}
