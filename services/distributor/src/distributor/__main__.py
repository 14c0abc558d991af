"""Run the distributor."""

from chassis.lifecycle import run_service
from distributor.bootstrap import run_distributor
from distributor.config import DistributorConfig

if __name__ == "__main__":
    run_service("distributor", DistributorConfig(), run_distributor)
