"""Human labels of replies, which correct the errors of parsers and scorers: the draw of replies and the questions."""
