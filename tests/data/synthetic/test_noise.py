from __future__ import annotations

import math

import numpy as np
import pytest

from napari_unet3d.data.synthetic.noise import Points, noise_table, perlin, simplex

CUBE_EDGES = [(1, 1, 0), (-1, 1, 0), (1, -1, 0), (-1, -1, 0), (1, 0, 1), (-1, 0, 1), (1, 0, -1), (-1, 0, -1)]
CUBE_EDGES += [(0, 1, 1), (0, -1, 1), (0, 1, -1), (0, -1, -1), (1, 1, 0), (-1, 1, 0), (0, -1, 1), (0, -1, -1)]


@pytest.fixture
def table():
    return noise_table(np.random.default_rng(5))


def evaluate(noise, places, table, line_axis=0):
    """Noise at single places, shape (k, 3)."""
    places = np.asarray(places, dtype=float)
    plane = np.delete(places.T, line_axis, axis=0)
    return np.diagonal(noise(Points(plane, places[:, line_axis], line_axis), table))


def perlin_by_the_book(place, table):
    """Perlin (2002), one point at a time in ordinary floating point."""
    cell = [math.floor(value) for value in place]
    inside = [value - c for value, c in zip(place, cell, strict=True)]
    ease = [6 * t**5 - 15 * t**4 + 10 * t**3 for t in inside]
    total = 0.0
    for corner in np.ndindex(2, 2, 2):
        h = 0
        for c, offset in zip(cell, corner, strict=True):
            h = int(table[(h + c + offset) % 256])
        gradient = CUBE_EDGES[h % 16]
        weight = math.prod(e if offset else 1 - e for e, offset in zip(ease, corner, strict=True))
        total += weight * sum(g * (t - offset) for g, t, offset in zip(gradient, inside, corner, strict=True))
    return total


@pytest.mark.parametrize("line_axis", [0, 1, 2])
def test_perlin_noise_agrees_with_the_formula_point_by_point(table, line_axis):
    places = np.random.default_rng(0).uniform(-3, 9, (40, 3))
    expected = [perlin_by_the_book(place, table) for place in places]
    np.testing.assert_allclose(evaluate(perlin, places, table, line_axis), expected, atol=2e-5)


def test_perlin_noise_vanishes_at_lattice_points(table):
    lattice = np.random.default_rng(1).integers(-5, 300, (50, 3))
    np.testing.assert_array_equal(evaluate(perlin, lattice, table), 0)


def test_simplex_noise_vanishes_at_the_corners_of_its_simplices(table):
    skewed = np.random.default_rng(1).integers(0, 9, (50, 3))
    corners = skewed - skewed.sum(axis=1, keepdims=True) / 6
    np.testing.assert_allclose(evaluate(simplex, corners + 1e-9, table), 0, atol=1e-5)


@pytest.mark.parametrize("noise", [perlin, simplex])
def test_noise_has_the_slope_of_a_cube_edge_at_its_lattice_points(noise, table):
    lattice = np.random.default_rng(2).integers(1, 9, (20, 3)).astype(float)
    if noise is simplex:
        lattice -= lattice.sum(axis=1, keepdims=True) / 6
    step = 1e-3
    slope = np.stack(
        [
            (evaluate(noise, lattice + step * axis, table) - evaluate(noise, lattice - step * axis, table)) / (2 * step)
            for axis in np.eye(3)
        ],
        axis=1,
    )
    height = 76 * 0.5**4 if noise is simplex else 1
    np.testing.assert_allclose(np.linalg.norm(slope, axis=1), height * np.sqrt(2), rtol=0.01)
    np.testing.assert_array_equal((np.abs(slope) > 0.1).sum(axis=1), 2)


@pytest.mark.parametrize("noise", [perlin, simplex])
def test_noise_stays_in_its_range_and_uses_most_of_it(noise, table):
    values = noise(Points(np.random.default_rng(3).uniform(0, 200, (2, 4000)), np.linspace(0, 50, 61), 1), table)
    assert 0.8 < values.max() <= 1.04
    assert -1.04 <= values.min() < -0.8
    assert abs(values.mean()) < 0.02


@pytest.mark.parametrize("noise", [perlin, simplex])
@pytest.mark.parametrize("line_axis", [0, 1, 2])
def test_noise_is_continuous_along_every_direction(noise, line_axis, table):
    along = np.linspace(0.3, 7.3, 7001)
    direction = np.random.default_rng(line_axis).normal(size=3)
    values = [evaluate(noise, part, table, line_axis) for part in np.array_split(np.outer(along, direction), 20)]
    jumps = np.abs(np.diff(np.concatenate(values)))
    assert jumps.max() < 0.001 * np.linalg.norm(direction) * 10


@pytest.mark.parametrize("noise", [perlin, simplex])
def test_the_line_axis_is_only_a_way_to_compute(noise, table):
    places = np.random.default_rng(4).uniform(0, 20, (30, 3))
    first, second, third = (evaluate(noise, places, table, axis) for axis in range(3))
    np.testing.assert_allclose(first, second, atol=1e-5)
    np.testing.assert_allclose(first, third, atol=1e-5)


def test_another_table_is_another_field(table):
    other = noise_table(np.random.default_rng(6))
    places = np.random.default_rng(4).uniform(0, 20, (30, 3))
    assert np.abs(evaluate(perlin, places, table) - evaluate(perlin, places, other)).max() > 0.1
