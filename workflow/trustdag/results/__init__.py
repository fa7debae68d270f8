"""A finished study as tables for Python and notebooks (`trustdag.load`), and compared with another (`compare`)."""
