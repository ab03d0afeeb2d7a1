"""A package of the project's, as projects have them."""

from __future__ import annotations

from bakery.pricing import priced as priced
