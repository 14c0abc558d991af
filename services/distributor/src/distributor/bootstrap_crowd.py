"""The composition of what concerns viewers, and the edges that serve them."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.layout import new_id
from distributor.adapters.abr_client import AbrClient
from distributor.adapters.roster import NatsRoster
from distributor.bootstrap_delivery import DeliveryRoom, Surroundings, build_delivery, build_desk
from distributor.bootstrap_ground import Ground
from distributor.config import DistributorConfig
from distributor.domain.views import Terms
from distributor.service_streams import Streams
from distributor.service_viewers import Distribution
from distributor.service_watch import Watches
from distributor.viewers import ViewerRules, Viewers


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Viewers and edges, built and not yet running."""

    viewers: Viewers
    distribution: Distribution
    roster: NatsRoster
    delivery: DeliveryRoom


def build_crowd(ground: Ground, streams: Streams, watches: Watches) -> Crowd:
    """Build what concerns viewers and edges; under one name this distributor is known to the others."""
    name = new_id()
    viewers = Viewers(ground.view_log, ground.view_states, _viewer_rules(ground.config), ground.seconds)
    desk = build_desk(ground)
    roster = NatsRoster(ground.client, name, desk.deliveries.figures)
    around = Surroundings(name=name, roster=roster, viewers=viewers, streams=streams, watches=watches)
    return Crowd(
        viewers=viewers,
        distribution=_distribution(ground, around),
        roster=roster,
        delivery=build_delivery(ground, desk, around),
    )


def _distribution(ground: Ground, around: Surroundings) -> Distribution:
    return Distribution(
        registry=ground.registry,
        streams=around.streams,
        viewers=around.viewers,
        abr=AbrClient(ground.abr),
        roster=around.roster,
        letters=ground.letters,
        profiles=ground.config.delivery_profiles,
        now=ground.now,
    )


def _viewer_rules(config: DistributorConfig) -> ViewerRules:
    terms = Terms(timeout_s=config.session_timeout_s, limit_count=config.session_limit_count)
    return ViewerRules(terms=terms, state_interval_s=config.views_state_interval_s)
