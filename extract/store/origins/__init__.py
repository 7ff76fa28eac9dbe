"""What tracks were made from: hashes of media and images, and whether these are still the same."""
