"""Contenders take turns, so that a noisy machine is noisy for all of them."""

import sys


def alternate(contenders, measure, rounds):
    """name -> the figures of `measure(contender)`, one for each round. Every other round goes the other way."""
    results = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in contenders if number % 2 == 0 else contenders[::-1]:
            results[contender.name].append(measure(contender))
            print(".", end="", file=sys.stderr, flush=True)
    return results


def pick(results, figure):
    """The same with one value for each figure: what a Line wants for its samples."""
    return {name: [figure(one) for one in figures] for name, figures in results.items()}
