"""trustdag: does aligning a language model make it more trustworthy?"""

__version__ = "0.1.0"
