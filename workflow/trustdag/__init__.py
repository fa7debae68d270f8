"""trustdag: does aligning a language model make it more trustworthy?"""

__version__ = "0.2.0"
