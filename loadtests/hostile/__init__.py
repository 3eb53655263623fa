"""Those who come to do harm, in numbers, and what they cost the others."""
