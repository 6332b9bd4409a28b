"""Reading: micrographs, pixel sizes, outlines, tiles and the published TiO2 data."""
