"""What a job will cost and how it runs, told before it runs: from sizes and the card alone."""

from engine.planning.device import DeviceFacts, facts_of
from engine.planning.estimates import Estimate
from engine.planning.ladder import Plan, plans, stepped_down
from engine.planning.price import RATES, estimate
from engine.planning.wan import WanPlan, wan_estimate, wan_plans, wan_smaller, wan_stepped_down

__all__ = [
    "RATES",
    "DeviceFacts",
    "Estimate",
    "Plan",
    "WanPlan",
    "estimate",
    "facts_of",
    "plans",
    "stepped_down",
    "wan_estimate",
    "wan_plans",
    "wan_smaller",
    "wan_stepped_down",
]
