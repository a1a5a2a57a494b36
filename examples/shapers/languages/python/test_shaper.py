import json
import unittest

import shaper

METRIC = {"name": "cache", "help": "Looks into the cache.", "labels": ["level"]}


class Test(unittest.TestCase):
    def test_two_counters(self):
        metric = shaper.parse(json.dumps({"metric": METRIC}))
        self.assertEqual(shaper.family_names(metric), ["cache_hits_total", "cache_misses_total"])

    def test_there_are_no_options(self):
        with self.assertRaisesRegex(ValueError, "has no option `color`"):
            shaper.parse(json.dumps({"metric": METRIC, "color": 1}))

    def test_each_row_counts_in_both(self):
        self.assertEqual(shaper.placements(2), [(0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 1, 1)])


if __name__ == "__main__":
    unittest.main()
