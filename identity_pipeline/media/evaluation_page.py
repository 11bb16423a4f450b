"""x"""
def render_evaluation_page(report): return "x"
