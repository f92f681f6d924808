"""The four kinds of group umbel.dev as typed models, and the generator of their CRDs and reference pages."""
