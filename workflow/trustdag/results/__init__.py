"""A finished study as tables, for Python and notebooks (`trustdag.load`), and beside another one (`compare`)."""
