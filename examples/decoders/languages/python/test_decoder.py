import unittest

import decoder


class Test(unittest.TestCase):
    def test_states_have_names(self):
        self.assertEqual(decoder.text(bytes([1, 0, 0, 0]), {}), "ESTABLISHED")
        self.assertEqual(decoder.text(bytes([10, 0, 0, 0]), {"lowercase": True}), "listen")
        self.assertEqual(decoder.text(bytes([0, 1, 0, 0]), {}), "UNKNOWN:256")

    def test_options_are_checked(self):
        self.assertEqual(decoder.parse("{}"), {})
        with self.assertRaisesRegex(ValueError, "has no option `color`"):
            decoder.parse('{"color": true}')
        with self.assertRaisesRegex(ValueError, "true or false"):
            decoder.parse('{"lowercase": 1}')

    def test_an_error_costs_its_row_only(self):
        data, ends, errors = decoder.decode(bytes([1, 0, 0, 0, 9, 7, 0, 0, 0]), [4, 5, 9], {})
        self.assertEqual((data, ends), (b"ESTABLISHEDCLOSE", [11, 11, 16]))
        self.assertEqual(errors, [(1, f"{decoder.NAME} wants 4 bytes, got 1")])


if __name__ == "__main__":
    unittest.main()
