"""Arms that decide while training what comes next: one file each. A new one is a `Dynamic` and a line here."""

from curricula.dynamic.arm import Dynamic as Dynamic
from curricula.dynamic.dihcl import Dihcl as Dihcl
from curricula.dynamic.hard_first import HardFirst as HardFirst
from curricula.dynamic.infobatch import InfoBatch as InfoBatch
from curricula.dynamic.rho import Rho as Rho
from curricula.dynamic.self_paced import SelfPaced as SelfPaced
from curricula.dynamic.superloss import SuperLoss as SuperLoss

DYNAMIC: dict[str, type[Dynamic]] = {
    "self_paced": SelfPaced,
    "infobatch": InfoBatch,
    "rho": Rho,
    "hard_first": HardFirst,
    "superloss": SuperLoss,
    "dihcl": Dihcl,
}
