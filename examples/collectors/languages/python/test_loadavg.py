import unittest

import loadavg


class Test(unittest.TestCase):
    def test_three_numbers(self):
        self.assertEqual(loadavg.parse("0.25 0.5 1.00 2/345 6789\n"), {"1m": 0.25, "5m": 0.5, "15m": 1.0})

    def test_a_file_that_says_something_else(self):
        with self.assertRaisesRegex(ValueError, "expected three numbers"):
            loadavg.parse("0.25 x\n")


if __name__ == "__main__":
    unittest.main()
